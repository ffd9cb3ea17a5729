// plugins: what Chart.js lacks: error bars, bands around lines, marks across bars, values at their ends, names beside points.

// dataset.spans: [low, high] in x for each point.
Chart.register({
  id: 'spans',
  beforeDatasetsDraw(chart) {
    const c = chart.ctx, x = chart.scales.x;
    chart.data.datasets.forEach((set, i) => {
      if (!set.spans) return;
      c.save();
      c.strokeStyle = set.borderColor;
      c.lineWidth = 1.5;
      chart.getDatasetMeta(i).data.forEach((point, j) => {
        const span = set.spans[j];
        if (!span) return;
        const low = x.getPixelForValue(span[0]), high = x.getPixelForValue(span[1]);
        c.beginPath();
        c.moveTo(low, point.y);
        c.lineTo(high, point.y);
        for (const end of [low, high]) {
          c.moveTo(end, point.y - 4);
          c.lineTo(end, point.y + 4);
        }
        c.stroke();
      });
      c.restore();
    });
  },
});

// dataset.errors: [low, high] in the value's units for each point.
Chart.register({
  id: 'errors',
  afterDatasetsDraw(chart) {
    const c = chart.ctx, y = chart.scales.y;
    chart.data.datasets.forEach((set, i) => {
      if (!set.errors) return;
      c.save();
      c.strokeStyle = set.errorColour || set.borderColor;
      c.lineWidth = 1.5;
      chart.getDatasetMeta(i).data.forEach((point, j) => {
        const error = set.errors[j];
        if (!error) return;
        const low = y.getPixelForValue(error[0]), high = y.getPixelForValue(error[1]);
        c.beginPath();
        c.moveTo(point.x, low);
        c.lineTo(point.x, high);
        for (const end of [low, high]) {
          c.moveTo(point.x - 4, end);
          c.lineTo(point.x + 4, end);
        }
        c.stroke();
      });
      c.restore();
    });
  },
});

// dataset.band: [low, high] in the value's units for each point of a line, as an area behind all lines.
Chart.register({
  id: 'bands',
  beforeDatasetsDraw(chart) {
    const c = chart.ctx, { x, y } = chart.scales, area = chart.chartArea;
    for (const set of chart.data.datasets) {
      if (!set.band) continue;
      const corner = end => (p, i) => [x.getPixelForValue(p.x), y.getPixelForValue(set.band[i][end])];
      c.save();
      c.beginPath();
      c.rect(area.left, area.top, area.width, area.height);
      c.clip();
      c.beginPath();
      for (const at of [...set.data.map(corner(1)), ...set.data.map(corner(0)).reverse()]) c.lineTo(...at);
      c.closePath();
      c.globalAlpha = 0.2;
      c.fillStyle = set.borderColor;
      c.fill();
      c.restore();
    }
  },
});

// data.broken: the axis of horizontal bars does not start at 0; each bar is cut near its start.
Chart.register({
  id: 'broken',
  afterDatasetsDraw(chart) {
    if (!chart.data.broken) return;
    const c = chart.ctx, left = chart.chartArea.left;
    c.save();
    c.strokeStyle = theme.colours().page;
    c.lineWidth = 3;
    chart.data.datasets.forEach((set, i) => chart.getDatasetMeta(i).data.forEach((bar, j) => {
      if (set.data[j] === null) return;
      c.beginPath();
      c.moveTo(left + 6, bar.y + bar.height / 2 + 1);
      c.lineTo(left + 12, bar.y - bar.height / 2 - 1);
      c.stroke();
    }));
    c.restore();
  },
});

// dataset.marks: a value across each horizontal bar, if it has one.
Chart.register({
  id: 'marks',
  afterDatasetsDraw(chart) {
    const c = chart.ctx;
    chart.data.datasets.forEach((set, i) => {
      if (!set.marks) return;
      c.save();
      c.strokeStyle = theme.colours().ink;
      c.lineWidth = 2;
      chart.getDatasetMeta(i).data.forEach((bar, j) => {
        if (!is_number(set.marks[j])) return;
        const x = chart.scales.x.getPixelForValue(set.marks[j]);
        c.beginPath();
        c.moveTo(x, bar.y - bar.height / 2 - 2);
        c.lineTo(x, bar.y + bar.height / 2 + 2);
        c.stroke();
      });
      c.restore();
    });
  },
});

// dataset.values: text at the end of each horizontal bar.
Chart.register({
  id: 'values',
  afterDatasetsDraw(chart) {
    const c = chart.ctx;
    chart.data.datasets.forEach((set, i) => {
      if (!set.values) return;
      c.save();
      c.fillStyle = theme.colours().ink;
      c.font = `11px ${Chart.defaults.font.family}`;
      c.textBaseline = 'middle';
      chart.getDatasetMeta(i).data.forEach((bar, j) => { if (set.values[j]) c.fillText(set.values[j], bar.x + 4, bar.y); });
      c.restore();
    });
  },
});

// dataset.names: a name beside each point; if there is no room, it moves away, with a line to the point.
Chart.register({
  id: 'names',
  afterDatasetsDraw(chart) {
    const sets = chart.data.datasets, c = chart.ctx, area = chart.chartArea, taken = [], marks = [];
    const clash = box => taken.some(t => box.x < t.x + t.w && t.x < box.x + box.w && box.y < t.y + t.h && t.y < box.y + box.h);
    sets.forEach((set, i) => {
      if (!set.names) return;
      chart.getDatasetMeta(i).data.forEach((point, j) => {
        taken.push({ x: point.x - 4, y: point.y - 4, w: 8, h: 8 });
        marks.push({ x: point.x, y: point.y, text: set.names[j], colour: set.nameColours ? set.nameColours[j] : theme.colours().ink });
      });
    });
    c.save();
    c.font = `11px ${Chart.defaults.font.family}`;
    c.textBaseline = 'middle';
    marks.sort((a, b) => a.y - b.y || a.x - b.x);
    for (const mark of marks) {
      const w = c.measureText(mark.text).width, h = 12;
      let placed = null, distance = 0;
      for (let step = 0; step < 60 && !placed; step++) {
        const shift = Math.ceil(step / 2) * (step % 2 ? 1 : -1) * 7;
        for (const side of [1, -1]) {
          const gap = 8 + Math.min(Math.abs(shift), 20) / 2;
          const box = { x: side > 0 ? mark.x + gap : mark.x - gap - w, y: mark.y + shift - h / 2, w, h };
          if (box.x < area.left || box.x + w > chart.width || box.y < area.top - 4 || box.y + h > area.bottom + 4) continue;
          if (!clash(box)) { placed = box; distance = Math.abs(shift); break; }
        }
      }
      if (!placed) placed = { x: mark.x + 8, y: mark.y - 6, w, h };
      taken.push(placed);
      if (distance > 7) {
        c.strokeStyle = theme.colours().faint;
        c.lineWidth = 1;
        c.beginPath();
        c.moveTo(mark.x, mark.y);
        c.lineTo(placed.x > mark.x ? placed.x - 1 : placed.x + w + 1, placed.y + h / 2);
        c.stroke();
      }
      c.fillStyle = mark.colour;
      c.fillText(mark.text, placed.x, placed.y + h / 2);
    }
    c.restore();
  },
});
