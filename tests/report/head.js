// head: comes before all scripts of a page under test, and collects their errors.
window.problems = [];
// A page that loads itself again must not do so while it is tested.
addEventListener('DOMContentLoaded', () => { const box = document.getElementById('reload'); if (box) box.checked = false; });
addEventListener('error', event => problems.push(`error: ${event.message} (${event.lineno}:${event.colno})`));
addEventListener('unhandledrejection', event => problems.push(`rejected: ${event.reason}`));
addEventListener('securitypolicyviolation', event => problems.push(`refused: ${event.violatedDirective} ${event.blockedURI}`));
for (const kind of ['error', 'warn']) {
  const said = console[kind];
  console[kind] = (...words) => { problems.push(`console.${kind}: ${words.join(' ')}`); said.apply(console, words); };
}
