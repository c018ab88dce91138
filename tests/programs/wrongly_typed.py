import dataclasses


@dataclasses.dataclass
class Point:
    x: int
    y: int = "0"


def add(a: Point, b: Point) -> Point:
    return a.x + b.x
