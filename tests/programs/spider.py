from pathlib import Path

import scrapy

Path("pages").mkdir(exist_ok=True)
for number in range(10):
    Path(f"pages/{number}.html").write_text(f"<h1>page {number}</h1><a href='{(number + 1) % 10}.html'>next</a>")


class Pages(scrapy.Spider):
    name = "pages"
    start_urls = [Path("pages/0.html").resolve().as_uri()]
    custom_settings = {"LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False}

    def parse(self, response):
        print(response.css("h1::text").get())
        yield from response.follow_all(css="a", callback=self.parse)
