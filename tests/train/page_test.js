// page_test: drives a page under test as a person does, and writes what it shows to the console: "@@NAME BASE64@@", of
// UTF-8. The last one is `end`. The frame named "first" writes texts; of all it is
// looked at how they lie.
(async () => {
  const field = id => document.getElementById(id);
  const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
  const tell = (name, text) => {
    const bytes = new TextEncoder().encode(text);
    console.log(`@@${name} ${btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))}@@`);
  };
  const idle = async () => {
    while (field('write').disabled && !field('status').classList.contains('alert')) await wait(10);
  };
  async function write(name, settings) {
    for (const [id, value] of Object.entries({ prompt: 'Line', temperature: 0, 'top-k': 200, tokens: 40, texts: 1, seed: 1337, 'top-p': 1,
      'stop-text': '', half: false, ...settings }))
      if (id === 'half') field(id).checked = value;
      else field(id).value = value;
    field('write').click();
    await idle();
    tell(name, field('text').lastElementChild.textContent);
  }
  try {
    await idle();
    if (window.name === 'first') {
      await write('greedy');
      await write('drawn', { temperature: 0.9, 'top-k': 5, seed: 7, 'top-p': 0.9 });
      await write('half', { temperature: 1, half: true });
      await write('third', { temperature: 1, texts: 3 });
      tell('texts', `${field('text').children.length} ${field('status').textContent}`);
      await write('plain', { prompt: '', temperature: 1, seed: 4294967295 });
      await write('stop', { temperature: 1, 'stop-text': new URLSearchParams(location.search).get('stop') });
      tell('stopped', field('status').textContent);
      await write('long', { tokens: 8, prompt: 'Line 1' });
      field('look').click();
      while (field('attention').hidden) await wait(10);
      tell('attention', JSON.stringify(Array.from(window.heard_of.attention.weights)));
      tell('looked', window.heard_of.attention.tokens.join(''));
      await write('wrong', { prompt: 'Line \u2603' });
      tell('refused', field('status').textContent);
      field('tokens').value = 1000000;
      field('prompt').value = 'Line';
      field('write').click();
      while (window.heard_of.text.count < 100) await wait(10);
      field('stop').click();
      await idle();
      tell('ended', field('status').textContent);
      tell('code', String(window.heard_of.ready.code));
    }
    if (window.name === 'old') tell('old', field('status').textContent);
    field('more').open = true;
    const wide = [...document.querySelectorAll('body *')].filter(element =>
      element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5);
    const colour = getComputedStyle(document.body).backgroundColor;
    tell('view', `${innerWidth} ${document.documentElement.scrollWidth} ${colour} ${wide.map(e => e.id || e.tagName)}`);
  } catch (problem) { window.problems.push(String(problem)); }
  tell('problems', window.problems.join('\n'));
  tell('end', window.name);
})();
