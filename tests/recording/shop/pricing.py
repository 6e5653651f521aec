"""What things cost: a list price for a product page and a quote for a line of a cart.

This file holds both releases that were recorded; SHOP_RELEASE says which one runs. Release 1.5.0 differs in `quote`
alone: it accepts vouchers (with a fault in it), and it looks its discounts up in a cache away from the process.
"""

import os
import random
import time
import zlib

from flask import Flask, request
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import telemetry

RELEASE = os.environ["SHOP_RELEASE"]
CACHE_BACKEND = {"1.4.0": "memory", "1.5.0": "redis"}[RELEASE]
PERCENT_OFF_BY_TIER = {"free": 0, "gold": 5}
# What a voucher takes off, by the product's price class. The fault of release 1.5.0: there are twelve classes, and
# the last is not in this table.
PERCENT_OFF_BY_PRICE_CLASS = {0: 10, 1: 10, 2: 10, 3: 10, 4: 10, 5: 15, 6: 15, 7: 15, 8: 20, 9: 20, 10: 25}

app = Flask("pricing")
waits = random.Random(12)


def wait_about(milliseconds):
    """Stands in for the work of a bigger service: a wait that differs from request to request, as real work does."""
    time.sleep(milliseconds / 1000 * waits.lognormvariate(0, 0.25))


def list_price_cents(sku):
    return 500 + zlib.crc32(sku.encode()) % 9500


def look_up_discounts():
    """Release 1.5.0's slow step. No Redis runs here: the wait stands in for the trips to it, and has no span."""
    if CACHE_BACKEND == "redis":
        wait_about(25)


def percent_off_for_voucher(sku):
    price_class = int(sku.removeprefix("sku-")) % 12
    return PERCENT_OFF_BY_PRICE_CLASS[price_class]


@app.get("/prices/<sku>")
def price(sku):
    wait_about(5)
    return {"cents": list_price_cents(sku)}


@app.post("/quote")
def quote():
    asked = request.get_json()
    method = asked["payment"]["method"]
    span = trace.get_current_span()
    span.set_attributes(
        {
            "app.customer.tier": asked["tier"],
            "app.payment.method": method,
            "app.cache.backend": CACHE_BACKEND,
        }
    )
    wait_about(8)
    look_up_discounts()
    percent_off = PERCENT_OFF_BY_TIER[asked["tier"]]
    if method == "voucher":
        try:
            percent_off += percent_off_for_voucher(asked["sku"])
        except KeyError as error:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR)
            return {"error": f"no voucher rule for {asked['sku']}: add its price class"}, 500
    return {"cents": list_price_cents(asked["sku"]) * asked["count"] * (100 - percent_off) // 100}


if __name__ == "__main__":
    telemetry.start(app)
    telemetry.serve(app)
