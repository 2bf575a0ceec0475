"""The limit: Flask, Flask-Login, one indexed query and raw Argon2, and nothing else that a portal needs."""

import os
import sqlite3
import sys
from threading import local

from argon2 import PasswordHasher
from flask import Flask, redirect, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from jinja2 import DictLoader

FORM = "<!doctype html><title>Seite</title><h1>{}</h1><form method=post><input name=email><input name=password></form>"
app = Flask(__name__)
app.secret_key = "bench" * 8
app.jinja_loader = DictLoader({"form": FORM.format("Anmelden"), "account": FORM.format("{{ current_user.email }}")})
logins, hasher, mine = LoginManager(app), PasswordHasher(), local()
form, account_page = app.jinja_env.get_template("form"), app.jinja_env.get_template("account")


def ask(sql, *values):
    if not hasattr(mine, "connection"):
        mine.connection = sqlite3.connect(os.environ["BENCH_DATABASE"], isolation_level=None, timeout=10)
        mine.connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
    return mine.connection.execute(sql, values)


class Customer(UserMixin):
    def __init__(self, by, value):
        self.id, self.email, self.hashed = ask(f"SELECT * FROM customer WHERE {by} = ?", value).fetchone()


logins.user_loader(lambda number: Customer("id", number))


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return form.render()
    customer = Customer("email", request.form["email"])
    hasher.verify(customer.hashed, request.form["password"])
    login_user(customer)
    return redirect("/account")


@app.get("/account")
@login_required
def account():
    return account_page.render(current_user=current_user)


@app.route("/forgot", methods=["GET", "POST"])
def forgot():
    if request.method == "POST":
        ask("INSERT INTO request (email) VALUES (?)", request.form["email"])
    return redirect("/login") if request.method == "POST" else form.render()


@app.route("/redeem/<email>", methods=["GET", "POST"])
def redeem(email):
    if request.method == "POST":
        ask("UPDATE customer SET hashed = ? WHERE email = ?", hasher.hash(request.form["new"]), email)
    return redirect("/login") if request.method == "POST" else form.render()


if __name__ == "__main__":
    hashed = hasher.hash(os.environ["BENCH_PASSWORD"])
    ask("CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT UNIQUE, hashed TEXT)")
    ask("CREATE TABLE request (id INTEGER PRIMARY KEY, email TEXT)")
    ask("BEGIN")
    for n in range(int(sys.argv[1])):
        ask("INSERT INTO customer (email, hashed) VALUES (?, ?)", f"person{n}@schule.example", hashed)
    ask("COMMIT")
    print(hashed)
