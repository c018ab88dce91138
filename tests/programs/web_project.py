"""A Django project in one file, with tests: `web_project.py test`."""

import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.test import TestCase
from django.urls import path

settings.configure(
    SECRET_KEY="not secret",
    ROOT_URLCONF="web_project",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
) if not settings.configured else None
django.setup()

urlpatterns = [path("hello/<name>", lambda request, name: HttpResponse(f"hello {name}"))]


class Pages(TestCase):
    def test_hello(self):
        self.assertEqual(self.client.get("/hello/you").content, b"hello you")

    def test_user(self):
        from django.contrib.auth.models import User

        User.objects.create_user("somebody")
        self.assertEqual(User.objects.count(), 1)


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
