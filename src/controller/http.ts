/**
 * The HTTP side of a manager, on request: /metrics, /healthz, /readyz (and /livez), each check also at its own path.
 *
 * Invariants: read-only; GET and HEAD alone; on the loopback address unless told otherwise; a failing check answers 500 and
 * says which, as Kubernetes' own endpoints do; closing ends idle connections, so that a stop does not hang.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { contentTypes, type MetricsRegistry } from './metrics/index.js';
import { toError } from './errors.js';
import type { Report } from './health.js';

/** Where to listen. */
export interface HttpOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
}

/** What is served. */
export interface HttpSource {
  readonly manager: { readonly metrics: MetricsRegistry; healthz(): Report; readyz(): Report };
  /** Finds out, in bounded time, what only asking tells; before `readyz`. */
  probe(): Promise<void>;
  /** The same, before the metrics. */
  measure(): Promise<void>;
}

/** A server that listens. */
export interface HttpServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Starts to serve. Rejects when the port is taken. */
export async function serve(options: HttpOptions, source: HttpSource): Promise<HttpServer> {
  const { port, host = '127.0.0.1' } = options;
  const server = createServer((request, response) => {
    answer(request, response, source).catch((error: unknown) => fail(response, toError(error, 'the answer')));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  return {
    host: address.address,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const BASE = 'http://manager';

async function answer(request: IncomingMessage, response: ServerResponse, { manager, probe, measure }: HttpSource): Promise<void> {
  const target = request.url ?? '/';
  // `//` would name a host, and an empty one.
  if (!URL.canParse(target, BASE)) return notFound(response);
  const { pathname, searchParams } = new URL(target, BASE);
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'method not allowed\n', { Allow: 'GET, HEAD' });
  if (pathname === '/metrics') {
    await measure();
    const format = request.headers.accept?.includes('application/openmetrics-text') === true ? 'openmetrics' : 'prometheus';
    return send(response, 200, manager.metrics.render(format), { 'Content-Type': contentTypes[format] });
  }
  const [, endpoint = '', check] = pathname.split('/');
  if (endpoint === 'readyz') await probe();
  const report = endpoint === 'healthz' || endpoint === 'livez' ? manager.healthz() : endpoint === 'readyz' ? manager.readyz() : undefined;
  if (report === undefined) return notFound(response);
  const excluded = new Set(searchParams.getAll('exclude'));
  const checks = report.checks.filter((each) => !excluded.has(each.name) && (check === undefined || check === '' || each.name === check));
  if (check !== undefined && check !== '' && checks.length === 0) return send(response, 404, `no check ${JSON.stringify(check)}\n`);
  const ok = checks.every((each) => each.ok);
  const lines = checks.map((each) => (each.ok ? `[+]${each.name} ok` : `[-]${each.name} failed: ${each.message ?? ''}`));
  const verbose = searchParams.has('verbose') || !ok;
  const text = verbose ? `${lines.join('\n')}\n${endpoint} check ${ok ? 'passed' : 'failed'}\n` : 'ok';
  return send(response, ok ? 200 : 500, text);
}

function notFound(response: ServerResponse): void {
  send(response, 404, 'not found; there are /metrics, /healthz and /readyz\n');
}

/** Whoever asked gets an answer, unless it had begun. */
function fail(response: ServerResponse, error: Error): void {
  if (response.headersSent) response.destroy(error);
  else send(response, 500, `the answer failed: ${error.message}\n`);
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-cache',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(body);
}
