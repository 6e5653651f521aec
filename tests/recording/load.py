"""The shop's customers: a plan of requests drawn from a seed, and a driver that sends it.

Both sides of the recording get the same plan: the same requests, the same gaps, the same carts. Only how a cart is
paid may differ, since vouchers come with the release; that is drawn apart, so that it shifts nothing else.
"""

import http.client
import json
import random
import threading
import time

SKUS = [f"sku-{n:03}" for n in range(400)]
# A trace context whose last field, the flags, says that the caller does not record: then nobody downstream does.
UNRECORDED = {"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"}


def plan_requests(seed, seconds, requests_per_second, with_vouchers):
    """A list of (seconds after the start, method, path, customer tier, body), in time's order."""
    arrivals = random.Random(seed)
    payments = random.Random(seed + 1)
    plan = []
    at = 0.0
    while True:
        at += arrivals.expovariate(requests_per_second)
        if at >= seconds:
            return plan
        tier = "gold" if arrivals.random() < 0.25 else "free"
        kind = arrivals.random()
        if kind < 0.20:
            plan.append((at, "GET", "/", tier, None))
        elif kind < 0.55:
            # Now and then somebody follows an old link.
            sku = "sku-999" if arrivals.random() < 0.04 else arrivals.choice(SKUS)
            plan.append((at, "GET", f"/product/{sku}", tier, None))
        else:
            lines = [{"sku": sku, "count": arrivals.randint(1, 4)} for sku in arrivals.sample(SKUS, arrivals.randint(1, 3))]
            by_voucher = payments.random() < 0.45
            by_card = payments.random() < 0.65
            method = "voucher" if with_vouchers and by_voucher else "card" if by_card else "invoice"
            plan.append((at, "POST", "/cart/checkout", tier, {"lines": lines, "payment": {"method": method}}))


def send(port, method, path, tier, body, more_headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"x-customer-tier": tier, "user-agent": "demo-customers/1.0", **more_headers}
    if body is not None:
        headers["content-type"] = "application/json"
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def warm_up(port, plan):
    """Sends the first requests of the plan with the wish not to be recorded: a process's first spans tell of its
    start, not of its work."""
    for _, method, path, tier, body in plan[:30]:
        send(port, method, path, tier, body, UNRECORDED)


def drive(port, plan):
    """Sends each request at its time, whether or not the ones before were answered, and counts answers by status."""
    count_by_status = {}
    lock = threading.Lock()

    def send_and_count(method, path, tier, body):
        status = send(port, method, path, tier, body, {})
        with lock:
            count_by_status[status] = count_by_status.get(status, 0) + 1

    customers = []
    start = time.monotonic()
    for at, *request in plan:
        time.sleep(max(0.0, start + at - time.monotonic()))
        customer = threading.Thread(target=send_and_count, args=request)
        customer.start()
        customers.append(customer)
    for customer in customers:
        customer.join()
    return count_by_status
