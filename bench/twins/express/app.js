// The Express app of the brief, made real: the same rows as PayFlow writes, one statement a payment, durable.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const express = require('express');
const { Pool } = require('pg');

const { PORT, DATABASE_URL, POOL_SIZE, SQL_FILE } = process.env;
const pool = new Pool({ connectionString: DATABASE_URL, max: Number(POOL_SIZE) });
const insert = fs.readFileSync(SQL_FILE, 'utf8');
const EXPONENTS = { EUR: 2, USD: 2, JPY: 0 };
const app = express();

app.get('/health', (req, res) => {
  res.json({ status: 'healthy', timestamp: new Date().toISOString(), version: '1.0.0' });
});

app.post('/api/v1/payments', express.json(), async (req, res) => {
  const { amount, currency = 'EUR' } = req.body;
  if (!amount || amount <= 0 || !(currency in EXPONENTS)) {
    return res.status(400).json({ error: 'Invalid amount' });
  }
  const key = req.get('idempotency-key');
  const now = new Date();
  const id = `pay_${now.getTime().toString(36)}${crypto.randomBytes(12).toString('hex')}`;
  const fingerprint = crypto.createHash('sha256').update(JSON.stringify(req.body)).digest();
  const minor = Math.round(amount * 10 ** EXPONENTS[currency]);
  try {
    const { rows } = await pool.query({ name: 'create', text: insert, values: [id, minor, currency, now, key, fingerprint] });
    if (rows.length === 0) {
      return res.status(409).json({ error: 'Key used before' });
    }
    return res.status(201).json({ id, amount, currency, status: 'pending', created_at: now.toISOString() });
  } catch (error) {
    return res.status(503).json({ error: 'Unavailable' });
  }
});

app.get('/api/v1/payments/:id', async (req, res) => {
  const { rows } = await pool.query({
    name: 'get',
    text: 'SELECT id, amount_minor, currency, created_at FROM payments WHERE account_id = 1 AND NOT livemode AND id = $1',
    values: [req.params.id],
  });
  if (rows.length === 0) {
    return res.status(404).json({ error: 'Not found' });
  }
  const [row] = rows;
  return res.json({
    id: row.id,
    amount: Number(row.amount_minor) / 10 ** EXPONENTS[row.currency],
    currency: row.currency,
    status: 'pending',
    created_at: row.created_at.toISOString(),
  });
});

app.listen(Number(PORT), '127.0.0.1');
