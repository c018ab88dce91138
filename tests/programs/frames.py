import io

import pandas as pd

frame = pd.DataFrame({"key": [i % 7 for i in range(100_000)], "value": range(100_000)})
text = frame.groupby("key").agg(["sum", "mean", "count"]).to_csv()
print(pd.read_csv(io.StringIO(text), header=[0, 1]).describe())
