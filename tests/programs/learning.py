from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import cross_val_score

x, y = make_classification(2_000, random_state=0)
print(cross_val_score(RandomForestClassifier(30, random_state=0), x, y, cv=3, n_jobs=2).round(4))
print(HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(x, y).score(x, y))
