/**
 * Finds the programs in a page of Markdown.
 *
 * A fence of `ts` is a program. `<!-- continues -->` on the line before a fence joins it to the program above, so that prose
 * may stand between its parts. A fence of `text` right after a program is what it prints. `<!-- fragment -->` before a fence
 * marks what is not meant to run: it is for signatures alone, and still has to parse.
 */
export interface Program {
  /** The heading it stands under and its place there, for the test's name. */
  readonly title: string;
  /** Line of the page where its first fence begins. */
  readonly line: number;
  readonly code: string;
  /** What it prints, when the page says so. */
  readonly prints: string | undefined;
}

interface Fence {
  readonly language: string;
  readonly line: number;
  readonly text: string;
  readonly mark: 'continues' | 'fragment' | undefined;
  readonly heading: string;
}

export function programsOf(markdown: string): readonly Program[] {
  const programs: Program[] = [];
  const perHeading = new Map<string, number>();
  for (const fence of fencesOf(markdown)) {
    const last = programs.at(-1);
    if (fence.language === 'ts' && fence.mark === 'continues') {
      if (last === undefined) throw new Error(`line ${fence.line}: nothing to continue`);
      if (last.prints !== undefined) throw new Error(`line ${fence.line}: the program above already tells what it prints`);
      programs[programs.length - 1] = { ...last, code: `${last.code}\n${fence.text}` };
    } else if (fence.language === 'ts' && fence.mark === undefined) {
      const count = (perHeading.get(fence.heading) ?? 0) + 1;
      perHeading.set(fence.heading, count);
      programs.push({
        title: count === 1 ? fence.heading : `${fence.heading} (${count})`,
        line: fence.line,
        code: fence.text,
        prints: undefined,
      });
    } else if (fence.language === 'text' && fence.mark === undefined && last !== undefined) {
      programs[programs.length - 1] = { ...last, prints: fence.text };
    } else if (/^(typescript|js|javascript|mts)$/.test(fence.language)) {
      throw new Error(`line ${fence.line}: code is written in a fence of \`ts\`, so that it is run`);
    }
  }
  return programs;
}

function fencesOf(markdown: string): readonly Fence[] {
  const fences: Fence[] = [];
  const lines = markdown.split('\n');
  let heading = 'top';
  let open: { language: string; line: number; indent: string; mark: Fence['mark']; text: string[] } | undefined;
  for (const [i, line] of lines.entries()) {
    const fence = /^(\s*)```(\S*)/.exec(line);
    if (open !== undefined) {
      if (fence !== null) {
        fences.push({ language: open.language, line: open.line, text: `${open.text.join('\n')}\n`, mark: open.mark, heading });
        open = undefined;
      } else open.text.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
    } else if (fence !== null) {
      const mark = /<!-- (continues|fragment) -->/.exec(
        lines.slice(Math.max(0, i - 2), i).findLast((before) => before.trim() !== '') ?? '',
      )?.[1];
      open = { language: fence[2] ?? '', line: i + 1, indent: fence[1] ?? '', mark: mark as Fence['mark'], text: [] };
    } else {
      heading = /^#+ (.*)/.exec(line)?.[1] ?? heading;
    }
  }
  if (open !== undefined) throw new Error(`line ${open.line}: a fence that is never closed`);
  return fences;
}
