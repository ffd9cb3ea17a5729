// table: a table that can be sorted by any column, filtered, and copied or saved as CSV or Markdown. Columns are { key, title, kind, hint },
// rows are plain objects; cells of the first column are row headers.

const tables = [];

// The words of a filter; a title of several words that is one of the columns' stays whole.
function filter_words(columns, text) {
  let joined = text;
  for (const { title } of columns) {
    const pattern = title.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
    if (title.includes(' ')) joined = joined.replace(new RegExp(pattern, 'gi'), found => found.replace(/ /g, '\u00a0'));
  }
  return joined.split(/[ \t\n]+/).map(word => word.replace(/\u00a0/g, ' ')).filter(Boolean);
}

function compare_values(value, sign, text) {
  const wanted = Number(text), numeric = is_number(value) && !Number.isNaN(wanted);
  switch (sign) {
    case '=': return text.split('|').some(one => (is_number(value) && one !== '' && value === Number(one)) || String(value) === one);
    case '!=': return !compare_values(value, '=', text);
    case '<': return numeric && value < wanted;
    case '>': return numeric && value > wanted;
    case '<=': return numeric && value <= wanted;
    default: return numeric && value >= wanted;
  }
}

// A filter such as "n_head=4|8 best<4.9 exp": every word must match. A word with a sign compares a column, which is named
// by its key or a part of its title, or a setting that all rows share; a column's title alone asks for a value in it.
// Returns { test, unknown }: the names that are of neither.
function make_filter(columns, text, shared) {
  const unknown = [];
  const named = name => {
    const titled = test => columns.find(c => test(c.title.toLowerCase()));
    return titled(t => t === name) || columns.find(c => c.key === name) || titled(t => t.includes(name));
  };
  const tests = filter_words(columns, text).map(word => {
    const parts = word.match(/^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/);
    if (parts) {
      const name = parts[1].trim().toLowerCase(), column = named(name), setting = (shared || []).find(s => s.key === name);
      if (column) return row => compare_values(row[column.key], parts[2], parts[3]);
      if (setting) {
        const value = Number.isNaN(Number(setting.value)) ? setting.value : Number(setting.value);
        return () => compare_values(value, parts[2], parts[3]);
      }
      unknown.push(parts[1]);
    }
    const wanted = word.toLowerCase(), own = columns.find(c => c.title.toLowerCase() === wanted);
    if (own) return row => row[own.key] !== undefined && row[own.key] !== null;
    if ((shared || []).some(s => s.key === wanted)) return () => true;
    return row => columns.some(c => format(c.kind, row[c.key]).toLowerCase().includes(wanted));
  });
  return { test: row => tests.every(test => test(row)), unknown };
}

// Missing values come last in either direction.
function compare_by(key, direction) {
  const missing = x => x === undefined || x === null || x === '';
  return (a, b) => {
    const x = a[key], y = b[key];
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a.order - b.order;
    const c = is_number(x) && is_number(y) ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true });
    return direction * c || a.order - b.order;
  };
}

function csv_text(columns, rows) {
  const quoted = value => {
    const text = value === undefined || value === null ? '' : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  return [columns.map(c => quoted(c.title)), ...rows.map(row => columns.map(c => quoted(row[c.key])))]
    .map(cells => cells.join(',')).join('\r\n') + '\r\n';
}

// A table as Markdown, with the figures as they are shown.
function markdown_text(columns, rows) {
  const line = cells => '| ' + cells.map(text => text.replace(/\|/g, '\\|').replace(/\s+/g, ' ')).join(' | ') + ' |';
  return [line(columns.map(c => c.title)), line(columns.map(c => (c.kind === 'text' ? '---' : '---:'))),
    ...rows.map(row => line(columns.map(c => format(c.kind, row[c.key]))))].join('\n') + '\n';
}

// Copies text; a page from disk may have no navigator.clipboard, so there is a fallback.
function copy_text(text, button) {
  const said = button.textContent;
  const done = ok => {
    button.textContent = ok ? 'Copied' : 'Could not copy';
    setTimeout(() => { button.textContent = said; }, 1500);
  };
  const old_way = () => {
    const area = el('textarea', { style: 'position:fixed;opacity:0' });
    area.value = text;
    document.body.append(area);
    area.select();
    const ok = document.execCommand('copy');
    area.remove();
    done(ok);
  };
  if (navigator.clipboard && isSecureContext) navigator.clipboard.writeText(text).then(() => done(true), old_way);
  else old_way();
}

// Takes away the table in `parent`, if there is one.
function drop_table(parent) {
  const at = tables.findIndex(table => table.node.parentElement === parent);
  if (at >= 0) tables.splice(at, 1)[0].node.remove();
}

// options: { filter: placeholder, shared: settings of all rows, sort: key, descending, name(row) → element for the first cell, mark(row) → class,
// changed(text, rows) when the filter is another }
function make_table(parent, columns, rows, options) {
  options = options || {};
  rows = rows.map((row, order) => Object.assign({ order }, row));
  const table = { key: options.sort, direction: options.descending ? -1 : 1, text: '', columns };
  const body = el('tbody');
  const count = el('span', { class: 'soft', role: 'status' });
  const headings = columns.map(column => el('th', { scope: 'col', class: column.kind === 'text' || column === columns[0] ? 'text' : '', title: column.hint },
    el('button', { type: 'button', click: () => table.sort(column.key, true) }, column.title)));
  const region = el('div', { class: 'table', tabindex: 0, role: 'region' });
  const cell = (row, column, first) => {
    const content = first && options.name ? options.name(row) : format(column.kind, row[column.key]);
    const kind = column.kind === 'text' ? 'text' : '';
    return first ? el('th', { scope: 'row', title: format(column.kind, row[column.key]) }, content) : el('td', { class: kind }, content);
  };
  table.rows = () => {
    const filter = make_filter(columns, table.text, options.shared), list = rows.filter(filter.test);
    table.unknown = filter.unknown;
    if (table.key) list.sort(compare_by(table.key, table.direction));
    return list;
  };
  table.draw = () => {
    const list = table.rows();
    region.hidden = list.length === 0;
    body.replaceChildren(...list.map(row => el('tr', { class: options.mark ? options.mark(row) : '' },
      columns.map((column, i) => cell(row, column, i === 0)))));
    count.textContent = options.filter ? `${list.length} of ${rows.length}` +
      table.unknown.map(name => `; no column or setting is called ${name}`).join('') : '';
    headings.forEach((heading, i) => {
      if (columns[i].key !== table.key) heading.removeAttribute('aria-sort');
      else heading.setAttribute('aria-sort', table.direction > 0 ? 'ascending' : 'descending');
    });
  };
  table.sort = (key, by_hand) => {
    table.by_hand = by_hand;
    table.direction = table.key === key ? -table.direction : 1;
    table.key = key;
    table.draw();
  };
  table.csv = () => csv_text(columns, table.rows());
  table.markdown = () => markdown_text(columns, table.rows());
  const name = parent.id.replace(/-table$/, ''), title = (parent.closest('section').querySelector('h2') || parent).textContent;
  const takers = [['CSV', 'csv', 'text/csv', table.csv], ['Markdown', 'md', 'text/markdown', table.markdown]].flatMap(([kind, end, type, text]) => {
    const copy = el('button', { type: 'button', 'aria-label': `Copy ${kind} of ${name}`, click: () => copy_text(text(), copy) }, 'Copy ' + kind);
    return [copy, el('button', { type: 'button', 'aria-label': `Save ${kind} of ${name}`, click: () => save_text(file_name(name, end), type, text()) }, 'Save ' + kind)];
  });
  const search = options.filter && el('input', { type: 'search', placeholder: options.filter, 'aria-label': 'Filter',
    input: () => table.filter(search.value) });
  table.filter = text => {
    table.text = search.value = text;
    table.draw();
    if (options.changed) options.changed(text, table.rows());
  };
  // What a heading's hint says is also said without a mouse.
  const hinted = columns.filter(column => column.hint), hints = hinted.length ? el('details', { id: name + '-columns' }, el('summary', {}, 'What the columns mean'),
    el('dl', { class: 'columns' }, hinted.flatMap(column => [el('dt', {}, column.title), el('dd', {}, column.hint)]))) : null;
  region.setAttribute('aria-label', `${title}: ${name}`);
  region.append(el('table', { 'aria-label': `${title}: ${name}` }, el('thead', {}, el('tr', {}, headings)), body));
  table.node = el('div', {}, el('div', { class: 'table-tools' }, search || null, takers, count), hints, region);
  table.search = search;
  table.draw();
  drop_table(parent);
  parent.replaceChildren(table.node);
  tables.push(table);
  return table;
}

