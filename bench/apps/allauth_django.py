"""django-allauth as it documents itself, on SQLite. As a program: makes its database."""

import os
import tomllib
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from bench import EMAILS, PASSWORD

Argon2 = type("Argon2", (Argon2PasswordHasher,), {"time_cost": 3, "memory_cost": 65536, "parallelism": 4})
chosen = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
chosen["DATABASES"]["default"]["NAME"] = os.environ["KMZPORTAL_INSTANCE_PATH"] + "/allauth_django.db"
chosen |= {"EMAIL_PORT": int(os.environ["KMZPORTAL_MAIL_PORT"]), "PASSWORD_HASHERS": [f"{__name__}.Argon2"]}
settings.configure(ROOT_URLCONF=__name__, **chosen)
app = get_wsgi_application()
urlpatterns = [path("accounts/", include("allauth.account.urls"))]

if __name__ == "__main__":
    from allauth.account.models import EmailAddress
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    hashed = make_password(PASSWORD)
    users = User.objects.bulk_create(User(username=email, email=email, password=hashed) for email in EMAILS)
    EmailAddress.objects.bulk_create(
        EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users
    )
    print(hashed)
