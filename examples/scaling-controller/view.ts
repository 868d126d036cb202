/**
 * What the user sees: a live picture on a terminal, plain lines elsewhere, and a table at the end.
 */
import { styleText } from 'node:util';
import type { CachedOf, DeletionOperation, ScalingOperation, Service } from 'rune-runtime';

/** What there is to show at one moment. */
export interface Picture {
  readonly services: readonly CachedOf<typeof Service>[];
  readonly operations: readonly CachedOf<typeof ScalingOperation>[];
  readonly deletions: readonly CachedOf<typeof DeletionOperation>[];
}

/** Where it is shown. */
export interface Screen {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** Shows pictures as they come. */
export interface View {
  show(picture: Picture): void;
  /** Shows the table and is done. */
  finish(picture: Picture): void;
}

const width = 24;

export function createView(screen: Screen): View {
  const live = screen.isTTY === true;
  let drawn = 0;
  const before = new Map<string, string>();
  return {
    show(picture) {
      if (live) {
        const lines = [...picture.services.map(bar), ...picture.operations.map(operationLine), ...picture.deletions.map(deletionLine)];
        // Up to where the last picture began, then over it.
        screen.write(`${drawn === 0 ? '' : `\u001b[${drawn}A`}${lines.map((line) => `\u001b[2K${line}\n`).join('')}`);
        drawn = Math.max(drawn, lines.length);
        return;
      }
      const lines: [string, string][] = [
        ...picture.services.map(({ metadata, spec, status }): [string, string] => [
          `service ${metadata.name}`,
          `${status?.readyInstances ?? 0}/${spec.scale} ready`,
        ]),
        ...picture.operations.map(({ metadata, spec, status }): [string, string] => [
          `operation ${metadata.name}`,
          `${status?.phase ?? 'pending'} (${spec.service} to ${spec.target})`,
        ]),
        ...picture.deletions.map(({ metadata, spec, status }): [string, string] => [
          `deletion ${metadata.name}`,
          `${status?.phase ?? 'pending'} (${spec.service ?? ''})`,
        ]),
      ];
      for (const [what, line] of lines) {
        if (before.get(what) === line) continue;
        before.set(what, line);
        screen.write(`${what}: ${line}\n`);
      }
    },
    finish(picture) {
      screen.write(`\n${table(picture)}\n`);
    },
  };
}

function bar({ metadata, spec, status }: Picture['services'][number]): string {
  const ready = status?.readyInstances ?? 0;
  const filled = '█'.repeat(Math.min(ready, width));
  const rest = '░'.repeat(Math.min(Math.max(spec.scale - ready, 0), width));
  return `  ${metadata.name.padEnd(12)} ${styleText(ready === spec.scale ? 'green' : 'yellow', filled)}${rest} ${ready}/${spec.scale}`;
}

function operationLine({ metadata, spec, status }: Picture['operations'][number]): string {
  return `  ${metadata.name.padEnd(12)} ${spec.service} → ${spec.target} ${spec.mode}: ${status?.phase ?? 'pending'}`;
}

function deletionLine({ metadata, spec, status }: Picture['deletions'][number]): string {
  return `  ${metadata.name.padEnd(12)} ${spec.service ?? ''} → gone: ${status?.phase ?? 'pending'}`;
}

/** Columns as wide as their widest cell. */
export function table({ services, operations, deletions }: Picture): string {
  const rows = (head: readonly string[], body: readonly (readonly string[])[]): string => {
    const all = [head, ...body];
    const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
    return all
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('   ')
          .trimEnd(),
      )
      .join('\n');
  };
  const first = rows(
    ['NAMESPACE', 'SERVICE', 'DESIRED', 'READY', 'IMAGE'],
    services.map(({ metadata, spec, status }) => [
      metadata.namespace ?? '',
      metadata.name,
      String(spec.scale),
      String(status?.readyInstances ?? 0),
      spec.image,
    ]),
  );
  if (operations.length + deletions.length === 0) return first;
  const second = rows(
    ['NAMESPACE', 'OPERATION', 'SERVICE', 'TARGET', 'PHASE'],
    [
      ...operations.map(({ metadata, spec, status }) => [
        metadata.namespace ?? '',
        metadata.name,
        spec.service,
        String(spec.target),
        status?.phase ?? 'pending',
      ]),
      ...deletions.map(({ metadata, spec, status }) => [
        metadata.namespace ?? '',
        metadata.name,
        spec.service ?? '',
        'gone',
        status?.phase ?? 'pending',
      ]),
    ],
  );
  return `${first}\n\n${second}`;
}
