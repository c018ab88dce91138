import dask.bag


def square(number):
    return number * number


if __name__ == "__main__":
    for scheduler in ("threads", "processes"):
        bag = dask.bag.from_sequence(range(1_000), npartitions=4).map(square)
        print(bag.sum().compute(scheduler=scheduler, num_workers=2))
