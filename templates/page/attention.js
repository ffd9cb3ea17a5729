// attention: the last token's weights, as a picture of all heads and as the context's text for one of them.
const attention = (() => {
  let last; // the worker's message
  const element = id => document.getElementById(id);

  // The weights of a head, or the mean of all.
  function weights_of(choice) {
    const { weights, count, layers, heads } = last;
    if (choice !== 'mean') return weights.subarray(choice * count, (Number(choice) + 1) * count);
    const mean = new Float32Array(count), rows = layers * heads;
    for (let i = 0; i < rows * count; i++) mean[i % count] += weights[i] / rows;
    return mean;
  }

  // The accent's red, green and blue.
  function accent() {
    const value = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
    return [1, 3, 5].map(at => parseInt(value.slice(at, at + 2), 16));
  }

  // A row of pixels for each head, with an empty one between two layers.
  function draw_heads() {
    const { layers, heads, count } = last, canvas = element('heads');
    canvas.width = count;
    canvas.height = layers * (heads + 1) - 1;
    canvas.style.height = `${Math.max(4, Math.min(12, Math.round(480 / canvas.height))) * canvas.height}px`;
    const context = canvas.getContext('2d'), picture = context.createImageData(canvas.width, canvas.height);
    const colour = accent();
    for (let head = 0; head < layers * heads; head++) {
      const row = weights_of(head), most = Math.max(...row), y = head + Math.floor(head / heads);
      row.forEach((weight, x) => picture.data.set([...colour, 255 * weight / most], 4 * (y * count + x)));
    }
    context.putImageData(picture, 0, 0);
  }

  function draw_text() {
    const row = weights_of(element('head').value), most = Math.max(...row);
    element('looked').replaceChildren(...last.tokens.map((token, i) => {
      const span = document.createElement('span');
      span.textContent = token.replace(/\n/g, '↵\n');
      span.title = `${(100 * row[i]).toFixed(1)}%`;
      span.style.background = `color-mix(in srgb, var(--accent) ${(60 * row[i] / most).toFixed(1)}%, transparent)`;
      return span;
    }));
  }

  function draw() {
    if (!last) return;
    draw_heads();
    draw_text();
  }

  element('head').addEventListener('change', draw_text);
  element('heads').addEventListener('click', event => {
    const { layers, heads } = last, box = event.target.getBoundingClientRect();
    const y = Math.floor((event.clientY - box.top) / box.height * (layers * (heads + 1) - 1));
    const layer = Math.floor(y / (heads + 1)), head = y % (heads + 1);
    if (head >= heads) return;
    element('head').value = layer * heads + head;
    draw_text();
  });

  return {
    draw,
    hide() {
      last = null;
      element('attention').hidden = true;
    },
    show(message) {
      last = message;
      const choices = [new Option('mean of all', 'mean')];
      for (let i = 0; i < last.layers * last.heads; i++)
        choices.push(new Option(`layer ${Math.floor(i / last.heads) + 1}, head ${i % last.heads + 1}`, i));
      const before = element('head').value;
      element('head').replaceChildren(...choices);
      element('head').value = before || 'mean';
      element('attention').hidden = false;
      draw();
      element('attention').scrollIntoView({ block: 'nearest' });
    },
  };
})();
