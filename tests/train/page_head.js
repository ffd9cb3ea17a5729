// page_head: comes before all scripts of a page under test: keeps what its worker says, and the page's errors.
window.heard_of = {};
window.problems = [];
window.Worker = class extends Worker {
  constructor(...words) {
    super(...words);
    this.addEventListener('message', event => { window.heard_of[event.data.kind] = event.data; });
  }
};
addEventListener('error', event => window.problems.push(`error: ${event.message}`));
addEventListener('unhandledrejection', event => window.problems.push(`rejected: ${event.reason}`));
addEventListener('securitypolicyviolation', event => window.problems.push(`refused: ${event.violatedDirective}`));
