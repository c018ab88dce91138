import numpy as np

x = np.random.default_rng(0).random((600, 600))
for _ in range(5):
    x = x @ x / 600
print(x.shape, f"{np.linalg.norm(x):.6e}", f"{np.linalg.eigvalsh(x + x.T)[-1]:.6e}")
