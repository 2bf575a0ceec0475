"""Flask-Security-Too as it documents itself, on SQLite. As a program: makes its database."""

import os
import tomllib
from uuid import uuid4

from flask import Flask
from flask_mailman import Mail
from flask_security import Security, SQLAlchemyUserDatastore, hash_password
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event

from bench import EMAILS, PASSWORD

app = Flask(__name__)
app.config.from_file("flask_security_too.toml", tomllib.load, text=False)
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{os.environ['KMZPORTAL_INSTANCE_PATH']}/flask_security_too.db"
app.config["MAIL_PORT"] = int(os.environ["KMZPORTAL_MAIL_PORT"])
event.listen(Engine, "connect", lambda raw, _: raw.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"))
db = SQLAlchemy(app)
fsqla_v3.FsModels.set_db_info(db)
Role = type("Role", (db.Model, fsqla_v3.FsRoleMixin), {})
User = type("User", (db.Model, fsqla_v3.FsUserMixin), {})
Mail(app)
Security(app, SQLAlchemyUserDatastore(db, User, Role))

if __name__ == "__main__":
    with app.app_context():
        db.create_all()
        hashed = hash_password(PASSWORD)
        users = (User(email=email, password=hashed, active=True, fs_uniquifier=uuid4().hex) for email in EMAILS)
        db.session.add_all(users)
        db.session.commit()
        print(hashed)
