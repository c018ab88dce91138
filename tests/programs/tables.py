from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, func, select
from sqlalchemy.pool import StaticPool

engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
words = Table("words", MetaData(), Column("id", Integer, primary_key=True), Column("text", String))
words.metadata.create_all(engine)
with engine.begin() as connection:
    connection.execute(words.insert(), [{"text": f"word {number}"} for number in range(1_000)])


def count(number):
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).where(words.c.text.like(f"%{number}")))


with ThreadPoolExecutor(1) as pool:
    print(list(pool.map(count, range(10))))
