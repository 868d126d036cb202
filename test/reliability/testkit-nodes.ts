/**
 * The test kit on the Node versions that users have: its node:test smoke on 20, 22 and 24, each taken from the npm registry.
 * Real world: compiles the package, runs npx.
 */
import { linkedProject, temporaryFolder } from '../support/built-package.js';
import { smoke } from '../testing/smoke.js';

await using project = await temporaryFolder('nodes');
await linkedProject(project.path);
for (const version of ['20', '22', '24']) {
  const outcome = await smoke(project.path, version);
  const passed = /# pass (\d+)/.exec(outcome.stdout)?.[1] ?? '0';
  console.log(`node ${version}: ${passed} passed, exit ${outcome.code}`);
  if (outcome.code !== 0) {
    console.log(outcome.output);
    process.exitCode = 1;
  }
}
