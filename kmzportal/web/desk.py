"""Kundenservice: customers found by their words, and the one screen for each of them."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services.search import search as search_customers
from kmzportal.web.auth import clerk_only
from kmzportal.web.desk_screen import customer_or_404, screen
from kmzportal.web.responses import redirect_to, render, wants_fragment

bp = Blueprint("desk", __name__, url_prefix="/kundenservice")

LONGEST_QUERY = 100


@bp.get("")
@clerk_only
def start() -> ResponseReturnValue:
    return redirect_to(".search")


@bp.get("/kunden")
@clerk_only
def search() -> ResponseReturnValue:
    query = request.args.get("suche", "").strip()[:LONGEST_QUERY]
    found = search_customers(db.session(), query)
    return render("desk/search.html", query=query, found=found)


@bp.get("/kunden/<int(max=2147483647):customer_id>")
@clerk_only
def customer(customer_id: int) -> ResponseReturnValue:
    return screen(customer_or_404(customer_id), typed=request.args.get("neue-adresse"))


@bp.get("/kunden/<int(max=2147483647):customer_id>/vorschau")
@clerk_only
def preview(customer_id: int) -> ResponseReturnValue:
    """What would leave for the address that is being typed: a part of the screen."""
    template = "desk/_preview.html" if wants_fragment() else "desk/customer.html"
    return screen(customer_or_404(customer_id), typed=request.args.get("email"), template=template)
