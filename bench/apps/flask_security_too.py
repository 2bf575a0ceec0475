"""Flask-Security-Too, small and honest."""

import os
import sys
import tomllib
import uuid

from flask import Flask
from flask_mailman import Mail
from flask_security import Security, SQLAlchemyUserDatastore, hash_password
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event

app = Flask(__name__)
app.config.from_file("flask_security_too.toml", tomllib.load, text=False)
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{os.environ['BENCH_DATABASE']}"
app.config["MAIL_PORT"] = int(os.environ["BENCH_MAIL_PORT"])
event.listen(Engine, "connect", lambda raw, _: raw.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"))
db = SQLAlchemy(app)
fsqla_v3.FsModels.set_db_info(db)


class Role(db.Model, fsqla_v3.FsRoleMixin):
    pass


class User(db.Model, fsqla_v3.FsUserMixin):
    pass


Mail(app)
Security(app, SQLAlchemyUserDatastore(db, User, Role))

if __name__ == "__main__":
    with app.app_context():
        db.create_all()
        hashed, numbers = hash_password(os.environ["BENCH_PASSWORD"]), range(int(sys.argv[1]))
        same = {"password": hashed, "active": True}
        people = [{**same, "email": f"person{n}@schule.example", "fs_uniquifier": uuid.uuid4().hex} for n in numbers]
        db.session.execute(db.insert(User), people)
        db.session.commit()
        print(hashed)
