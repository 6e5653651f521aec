// The shop's front door: three routes that a customer's browser would call. It keeps nothing itself; products come
// from `catalog`, what a cart line costs from `pricing`. It prints `listening on PORT` once it serves.
'use strict';

const http = require('node:http');
const express = require('express');
const { trace } = require('@opentelemetry/api');

const catalogPort = Number(process.env.CATALOG_PORT);
const pricingPort = Number(process.env.PRICING_PORT);

// Calls another service and gives back { status, body }. `template` names the span, `path` is what is asked for.
function call(port, method, template, path, json) {
  return new Promise((resolve, reject) => {
    const headers = json ? { 'content-type': 'application/json' } : {};
    const options = { host: '127.0.0.1', port, method, path, headers, urlTemplate: template };
    const request = http.request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(json ? JSON.stringify(json) : undefined);
  });
}

function rowsOfHtml(products) {
  return products.map((product) => `<li>${product.sku}: ${product.name}</li>`).join('\n');
}

// Who asks is on every span that a customer's request starts here.
function markCustomer(request) {
  const span = trace.getActiveSpan();
  span?.setAttribute('app.customer.tier', request.get('x-customer-tier') ?? 'free');
  return span;
}

const app = express();
app.disable('x-powered-by');
app.use(express.json());

app.get('/', async (request, response) => {
  markCustomer(request);
  const list = await call(catalogPort, 'GET', '/products', '/products?shelf=front');
  if (list.status !== 200) return response.status(502).send('the catalog did not answer');
  response.send(`<ul>${rowsOfHtml(JSON.parse(list.body))}</ul>`);
});

app.get('/product/:id', async (request, response) => {
  markCustomer(request)?.setAttribute('app.product.id', request.params.id);
  const found = await call(catalogPort, 'GET', '/products/<sku>', `/products/${encodeURIComponent(request.params.id)}`);
  if (found.status === 404) return response.status(404).send('no such product');
  if (found.status !== 200) return response.status(502).send('the catalog did not answer');
  response.send(`<h1>${JSON.parse(found.body).name}</h1>`);
});

app.post('/cart/checkout', async (request, response) => {
  const { lines, payment } = request.body;
  const tier = request.get('x-customer-tier') ?? 'free';
  const span = markCustomer(request);
  span?.setAttributes({ 'app.payment.method': payment.method, 'app.cart.lines_count': lines.length });

  const reserved = await call(catalogPort, 'POST', '/reservations', '/reservations', { lines });
  if (reserved.status !== 201) return response.status(409).send('not in stock');
  // All lines are priced at once: the checkout waits for the slowest quote.
  const quotes = await Promise.all(
    lines.map((line) => call(pricingPort, 'POST', '/quote', '/quote', { ...line, tier, payment })),
  );
  if (quotes.some((quote) => quote.status !== 200)) return response.status(502).send('the cart could not be priced');
  const totalCents = quotes.reduce((sum, quote) => sum + JSON.parse(quote.body).cents, 0);
  span?.setAttribute('app.cart.total_cents', totalCents);
  response.status(201).json({ totalCents });
});

const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});
