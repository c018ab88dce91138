from pathlib import Path

import luigi


class Part(luigi.Task):
    number = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget(f"parts/{self.number}")

    def run(self):
        with self.output().open("w") as out:
            out.write(str(self.number**2))


class Whole(luigi.Task):
    def requires(self):
        return [Part(number) for number in range(8)]

    def output(self):
        return luigi.LocalTarget("whole")

    def run(self):
        with self.output().open("w") as out:
            out.write(str(sum(int(Path(part.path).read_text()) for part in self.input())))


if __name__ == "__main__":
    print(luigi.build([Whole()], workers=2, local_scheduler=True, log_level="ERROR"), Path("whole").read_text())
