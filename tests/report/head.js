// head: comes before all scripts of a page under test, and collects their errors.
window.problems = [];
addEventListener('error', event => problems.push(`error: ${event.message} (${event.lineno}:${event.colno})`));
addEventListener('unhandledrejection', event => problems.push(`rejected: ${event.reason}`));
addEventListener('securitypolicyviolation', event => problems.push(`refused: ${event.violatedDirective} ${event.blockedURI}`));
for (const kind of ['error', 'warn']) {
  const said = console[kind];
  console[kind] = (...words) => { problems.push(`console.${kind}: ${words.join(' ')}`); said.apply(console, words); };
}
