"""django-allauth, small and honest."""

import os
import sys
import tomllib
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path


class Argon2(Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = 3, 65536, 4


chosen = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
chosen["DATABASES"]["default"] |= {"NAME": os.environ["BENCH_DATABASE"], "CONN_MAX_AGE": None}
chosen |= {"EMAIL_PORT": int(os.environ["BENCH_MAIL_PORT"]), "PASSWORD_HASHERS": [f"{__name__}.Argon2"]}
settings.configure(ROOT_URLCONF=__name__, **chosen)
app = get_wsgi_application()
urlpatterns = [path("accounts/", include("allauth.account.urls"))]

if __name__ == "__main__":
    from allauth.account.models import EmailAddress
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    hashed, numbers = make_password(os.environ["BENCH_PASSWORD"]), range(int(sys.argv[1]))
    people = [User(username=f"p{n}", email=f"person{n}@schule.example", password=hashed) for n in numbers]
    people = User.objects.bulk_create(people, 1000)
    addresses = [EmailAddress(user=person, email=person.email, verified=True, primary=True) for person in people]
    EmailAddress.objects.bulk_create(addresses, 1000)
    print(hashed)
