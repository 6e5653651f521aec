"""The shop's products and stock: a real SQLite database behind three routes. It asks `pricing` what a product costs."""

import os
import random
import sqlite3
import time

import requests
from flask import Flask, request
from opentelemetry import trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

import telemetry

PRICING_PORT = os.environ["PRICING_PORT"]
DATABASE_PATH = os.environ["DATABASE_PATH"]
SHELVES = ["front", "kitchen", "garden", "office"]

app = Flask("catalog")
waits = random.Random(11)


def fill_database():
    """Makes the same 400 products every time. Runs before the SDK starts, so it leaves no spans."""
    database = sqlite3.connect(DATABASE_PATH)
    database.executescript(
        """
        DROP TABLE IF EXISTS product;
        CREATE TABLE product (sku TEXT PRIMARY KEY, name TEXT NOT NULL, shelf TEXT NOT NULL, stock INTEGER NOT NULL);
        """
    )
    rows = [(f"sku-{n:03}", f"Thing number {n}", SHELVES[n % len(SHELVES)], 100_000) for n in range(400)]
    database.executemany("INSERT INTO product VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()


def name_after_route(span, prepared_request):
    """The one route that is called from here: a client span named only `GET` would hide which call it was."""
    span.update_name("GET /prices/<sku>")
    span.set_attribute("url.template", "/prices/<sku>")


def wait_about(milliseconds):
    """Stands in for the work of a bigger service: a wait that differs from request to request, as real work does."""
    time.sleep(milliseconds / 1000 * waits.lognormvariate(0, 0.25))


@app.get("/products")
def list_products():
    wait_about(3)
    database = sqlite3.connect(DATABASE_PATH)
    rows = database.cursor().execute(
        "SELECT sku, name FROM product WHERE shelf = ? AND stock > 0 ORDER BY name LIMIT 12", (request.args["shelf"],)
    ).fetchall()
    database.close()
    return [{"sku": sku, "name": name} for sku, name in rows]


@app.get("/products/<sku>")
def show_product(sku):
    database = sqlite3.connect(DATABASE_PATH)
    row = database.cursor().execute("SELECT name, shelf FROM product WHERE sku = ?", (sku,)).fetchone()
    database.close()
    if row is None:
        return {"error": f"no product {sku}: GET /products lists what there is"}, 404
    name, shelf = row
    trace.get_current_span().set_attribute("app.product.shelf", shelf)
    wait_about(2)
    price = requests.get(f"http://127.0.0.1:{PRICING_PORT}/prices/{sku}", timeout=5).json()
    return {"sku": sku, "name": name, "cents": price["cents"]}


@app.post("/reservations")
def reserve():
    wait_about(4)
    lines = request.get_json()["lines"]
    database = sqlite3.connect(DATABASE_PATH)
    database.cursor().executemany(
        "UPDATE product SET stock = stock - ? WHERE sku = ?", [(line["count"], line["sku"]) for line in lines]
    )
    database.commit()
    database.close()
    return {"reserved": len(lines)}, 201


if __name__ == "__main__":
    fill_database()
    telemetry.start(app)
    RequestsInstrumentor().instrument(request_hook=name_after_route)
    SQLite3Instrumentor().instrument()
    telemetry.serve(app)
