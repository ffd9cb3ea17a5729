// page.js: writes one text in a page and tells what page.sh reads: "@@speed TOKENS-A-SECOND@@", as the page shows it,
// and "@@text BASE64@@". The address says how many tokens: ?tokens=6000.
(async () => {
  const field = id => document.getElementById(id);
  const idle = async () => {
    while (field('write').disabled && !field('status').classList.contains('alert'))
      await new Promise(resolve => setTimeout(resolve, 50));
  };
  await idle();
  await new Promise(resolve => setTimeout(resolve, 1000)); // a person reads and types
  const tokens = new URLSearchParams(location.search).get('tokens');
  for (const [id, value] of Object.entries({ prompt: '', temperature: 0.8, 'top-k': 200, 'top-p': 1, tokens, texts: 1,
    seed: 1337, 'stop-text': '' }))
    field(id).value = value;
  field('half').checked = true;
  field('write').click();
  await idle();
  const speed = field('status').textContent.match(/, ([0-9,]+) tokens\/s/);
  const bytes = new TextEncoder().encode(field('text').textContent);
  console.log(`@@text ${btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))}@@`);
  console.log(`@@speed ${speed ? speed[1].replaceAll(',', '') : field('status').textContent}@@`);
})();
