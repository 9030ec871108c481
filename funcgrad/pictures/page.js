'use strict';
(() => {
  const told = JSON.parse(document.getElementById('told').textContent);
  const byId = id => document.getElementById(id);
  const tip = byId('tip'), more = byId('more'), search = byId('search'), found = byId('found');
  const views = {}, LEGIBLE = 0.62;
  let view, pinned = null;

  // Views: a drawing, what of it is seen, and its nodes by number -------------------------------------------------

  for (const section of document.querySelectorAll('section')) {
    const svg = section.querySelector(':scope > svg'), key = section.id.slice('view-'.length);
    const nodes = new Map([...svg.querySelectorAll('.node')].map(node => [node.dataset.n, node]));
    const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
    const v = { key, section, svg, nodes, width, height, whole: [width, height], box: null, hits: [], now: -1 };
    v.back = svg.querySelector('rect.s-background');
    v.edges = [...svg.querySelectorAll('path[data-s]')].map(path => ({ path, points: numbers(path.getAttribute('d')) }));
    v.byEnd = new Map();
    for (const { path } of v.edges) for (const end of [path.dataset.s, path.dataset.t]) {
      if (!v.byEnd.has(end)) v.byEnd.set(end, []);
      v.byEnd.get(end).push(path);
    }
    v.byLine = new Map();
    told[key].forEach((entry, n) => (entry.l || []).slice(0, 1).forEach(line => {
      const text = line[0] + line[1];
      if (!v.byLine.has(text)) v.byLine.set(text, []);
      v.byLine.get(text).push(String(n));
    }));
    v.families = new Set([...nodes.values()].map(node => node.dataset.family));
    views[key] = v;
  }

  function numbers(text) {
    const values = text.match(/-?[\d.]+/g).map(Number), points = [];
    for (let k = 0; k < values.length; k += 2) points.push([values[k], values[k + 1]]);
    return points;
  }

  function show(key) {
    view = views[key];
    for (const v of Object.values(views)) {
      v.section.hidden = v !== view;
      const tab = byId('tab-' + v.key);
      tab.setAttribute('aria-selected', v === view);
      tab.tabIndex = v === view ? 0 : -1;
    }
    for (const swatch of document.querySelectorAll('.swatch')) swatch.hidden = !view.families.has(swatch.dataset.family);
    byId('fold').hidden = !view.svg.querySelector('.fold');
    if (!view.box) fit(LEGIBLE);
    unpin();
    look();
  }

  // Zoom: the view box is what is seen --------------------------------------------------------------------------

  function seen() {
    const { clientWidth: w, clientHeight: h } = view.svg;
    return [Math.max(w, 1), Math.max(h, 1)];
  }

  function setBox(x, y, w) {
    const [width, height] = seen();
    w = Math.min(Math.max(w, 40), 40 * Math.max(view.width, view.height * width / height));
    view.box = [x, y, w, w * height / width];
    view.svg.setAttribute('viewBox', view.box.map(v => v.toFixed(2)).join(' '));
  }

  function fit(least = 0) { // all of the drawing, or its upper left part in letters of at least so much of their size
    const [width, height] = seen(), whole = Math.max(view.width, view.height * width / height, width / 1.5);
    const w = least ? Math.min(whole, width / least) : whole;
    setBox(Math.min(0, (view.width - w) / 2), Math.min(0, (view.height - w * height / width) / 2), w);
  }

  function place(x, y) { // of a point of the window, in the drawing
    const r = view.svg.getBoundingClientRect(), [bx, by, bw, bh] = view.box;
    return [bx + (x - r.left) / r.width * bw, by + (y - r.top) / r.height * bh];
  }

  function zoom(factor, x, y) {
    const r = view.svg.getBoundingClientRect();
    if (x === undefined) [x, y] = [r.left + r.width / 2, r.top + r.height / 2];
    const [px, py] = place(x, y), [bx, by, bw] = view.box;
    const w = bw / factor;
    setBox(px - (px - bx) * w / bw, py - (py - by) * w / bw, w);
  }

  function centre(node) {
    const r = node.querySelector('rect').getBoundingClientRect(), s = view.svg.getBoundingClientRect();
    const scale = view.box[2] / s.width, w = Math.min(view.box[2], s.width / 0.8);
    const [x, y] = place(r.left + r.width / 2, r.top + Math.min(r.height, 60) / 2);
    setBox(x - w / 2, y - w * s.height / s.width / 2, w);
  }

  // Pointers: one moves, two zoom, a short one looks ------------------------------------------------------------

  const pointers = new Map();
  let travelled = 0;
  for (const { svg } of Object.values(views)) {
    svg.addEventListener('wheel', event => {
      event.preventDefault();
      if (event.shiftKey) setBox(view.box[0] + event.deltaY * view.box[2] / seen()[0], view.box[1], view.box[2]);
      else zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX, event.clientY);
      hide();
    }, { passive: false });
    svg.addEventListener('pointerdown', event => {
      if (event.button) return;
      if (!pointers.size) travelled = 0;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    svg.addEventListener('pointermove', event => {
      const before = pointers.get(event.pointerId);
      if (!before) { if (event.pointerType !== 'touch') hover(event); return; }
      const now = [event.clientX, event.clientY];
      travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (travelled > 4 && !svg.hasPointerCapture(event.pointerId)) { svg.setPointerCapture(event.pointerId); hide(); }
      if (travelled > 4) {
        svg.classList.add('moving');
        const others = [...pointers].filter(([id]) => id !== event.pointerId);
        if (others.length) {
          const [, other] = others[0], apart = p => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 1);
          zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
        }
        const scale = view.box[2] / seen()[0] / (others.length + 1);
        setBox(view.box[0] - (now[0] - before[0]) * scale, view.box[1] - (now[1] - before[1]) * scale, view.box[2]);
      }
      pointers.set(event.pointerId, now);
    });
    const up = event => {
      if (!pointers.delete(event.pointerId)) return;
      svg.classList.remove('moving');
      if (event.type === 'pointerup' && travelled <= 4) click(event);
    };
    svg.addEventListener('pointerup', up);
    svg.addEventListener('pointercancel', up);
    svg.addEventListener('pointerleave', () => { if (!pointers.size) hide(); });
  }

  function click(event) {
    const node = event.target.closest('.node');
    if (!node) { unpin(); hide(); return; }
    if (node.dataset.fw && inHead(node, event)) fold([node], !node.classList.contains('closed'));
    else pin(node);
  }

  function inHead(node, event) {
    const r = node.querySelector('rect').getBoundingClientRect();
    return event.clientY - r.top <= node.dataset.fh * r.width / node.querySelector('rect').width.baseVal.value;
  }

  // Details ------------------------------------------------------------------------------------------------------

  function element(tag, text, name) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (name) e.className = name;
    return e;
  }

  function describe(n, most) {
    const { t, r, l = [] } = told[view.key][n], out = [element('h2', t)], list = element('dl');
    for (const [head, text] of r) {
      const short = text.length > most ? text.slice(0, most - 1) + '…' : text;
      list.append(element('dt', head), element('dd', short));
    }
    out.push(list);
    for (const [place, where, scope, code] of most < 1000 ? l.slice(0, 3) : l) {
      const line = element('div', undefined, 'line');
      line.append(element('span', `${place} in ${where}${scope ? ` [${scope}]` : ''}`), element('code', code));
      out.push(line);
    }
    if (most < 1000 && l.length > 3) out.push(element('div', `and ${l.length - 3} more lines`, 'line'));
    return out;
  }

  let over = null;
  function hover(event) {
    const node = event.target.closest('.node');
    if (node !== over) {
      hide();
      over = node;
      if (!node) return;
      mark(node, true);
      tip.replaceChildren(...describe(node.dataset.n, 220));
      tip.hidden = false;
    }
    if (!node) return;
    const { offsetWidth: w, offsetHeight: h } = tip;
    const x = event.clientX + 16 + w > innerWidth ? Math.max(4, event.clientX - w - 12) : event.clientX + 16;
    const y = event.clientY + 18 + h > innerHeight ? Math.max(4, event.clientY - h - 12) : event.clientY + 18;
    tip.style.left = `${x}px`;
    tip.style.top = `${y}px`;
  }

  function hide() {
    if (over) mark(over, false);
    over = null;
    tip.hidden = true;
  }

  function mark(node, on) { // its edges, what it refers to, and what comes from the same line
    const n = node.dataset.n, { l = [] } = told[view.key][n];
    node.classList.toggle('over', on);
    for (const path of view.byEnd.get(n) || []) path.classList.toggle('over', on);
    if (node.dataset.r) view.nodes.get(node.dataset.r).classList.toggle('over', on);
    if (l.length) for (const k of view.byLine.get(l[0][0] + l[0][1]) || []) view.nodes.get(k).classList.toggle('same', on);
  }

  function pin(node) {
    if (pinned === node) { unpin(); return; }
    unpin();
    pinned = node;
    node.classList.add('pinned');
    const close = element('button', '×', 'close');
    close.setAttribute('aria-label', 'Close');
    close.addEventListener('click', unpin);
    more.replaceChildren(close, ...describe(node.dataset.n, 1e6));
    if (node.dataset.r) {
      const go = element('button', 'Go there');
      go.addEventListener('click', () => { const there = view.nodes.get(node.dataset.r); centre(there); pin(there); });
      more.append(go);
    }
    more.hidden = false;
    hide();
  }

  function unpin() {
    if (pinned) pinned.classList.remove('pinned');
    pinned = null;
    more.hidden = true;
  }

  // Search -------------------------------------------------------------------------------------------------------

  function text(n) {
    const { t, r, l = [] } = told[view.key][n];
    return [t, ...r.flat(), ...l.flat()].join('\n').toLowerCase();
  }

  function look() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const node of view.nodes.values()) node.classList.remove('hit', 'now');
    view.svg.classList.toggle('searching', words.length > 0);
    view.hits = [];
    view.now = -1;
    if (words.length) {
      const named = [], others = []; // names come before what stands in types, parameters and lines
      told[view.key].forEach((entry, n) => {
        const all = text(n), title = entry.t.toLowerCase();
        if (!words.every(word => all.includes(word))) return;
        (words.every(word => title.includes(word)) ? named : others).push(view.nodes.get(String(n)));
      });
      view.hits = [...named, ...others];
      for (const node of view.hits) node.classList.add('hit');
      // who searches wants to see: what holds a hit opens
      const around = new Set(view.hits.map(node => node.parentNode.closest('.node.closed')).filter(Boolean));
      for (let more = [...around]; more.length; more = more.map(n => n.parentNode.closest('.node.closed')).filter(Boolean))
        more.forEach(n => around.add(n));
      if (around.size) fold([...around], false);
    }
    found.textContent = words.length ? `${view.hits.length} found` : '';
  }

  function next(step) {
    if (!view.hits.length) return;
    view.hits[view.now]?.classList.remove('now');
    view.now = (view.now + step + view.hits.length) % view.hits.length;
    view.hits[view.now].classList.add('now');
    found.textContent = `${view.now + 1} of ${view.hits.length}`;
    centre(view.hits[view.now]);
  }

  search.addEventListener('input', look);
  search.addEventListener('keydown', event => {
    if (event.key === 'Enter') next(event.shiftKey ? -1 : 1);
    if (event.key === 'Escape') { search.value = ''; look(); search.blur(); }
  });

  // Folding: what a node that shrinks no longer covers, and nothing else does, is cut out of both axes -----------

  function fold(nodes, closed) {
    for (const node of nodes) node.classList.toggle('closed', closed);
    arrange(view);
  }

  function union(spans) {
    const out = [];
    for (const [a, b] of [...spans].sort((p, q) => p[0] - q[0])) {
      if (out.length && a <= out[out.length - 1][1]) out[out.length - 1][1] = Math.max(out[out.length - 1][1], b);
      else out.push([a, b]);
    }
    return out;
  }

  function without(spans, kept) { // the parts of spans that lie in none of the kept ones
    const out = [];
    for (let [a, b] of spans) {
      for (const [c, d] of kept) {
        if (d <= a || c >= b) continue;
        if (c > a) out.push([a, c]);
        a = Math.max(a, d);
      }
      if (a < b) out.push([a, b]);
    }
    return out;
  }

  function cut(removed) { // the function that closes gaps
    return value => {
      let gone = 0;
      for (const [a, b] of removed) {
        if (a >= value) break;
        gone += Math.min(b, value) - a;
      }
      return value - gone;
    };
  }

  function shift(boxes, lanes) { // boxes: [x, y, w, h] before and after; lanes: where edges pass, in x
    const maps = [0, 1].map(axis => {
      const before = union(boxes.map(({ was }) => [was[axis], was[axis] + was[axis + 2]]));
      const kept = boxes.map(({ is }) => [is[axis], is[axis] + is[axis + 2]]);
      if (!axis) for (const x of lanes) kept.push([x - 7, x + 7]);
      return cut(without(before, union(kept)));
    });
    return maps;
  }

  const own = (e, names) => names.split(' ').map(name => Number(e.dataset[name]));
  const move = (e, x, y) => e.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);

  function arrangeGraph(graph, v) { // returns its size
    const [width, height] = own(graph, 'w h');
    const boxes = [...graph.children].filter(e => e.classList.contains('node')).map(node => {
      const [x, y, w, h] = own(node, 'x y w h'), [iw, ih] = arrangeNode(node, v);
      return { node, was: [x, y, w, h], is: [x + (w - iw) / 2, y, iw, ih] };
    });
    const byNumber = new Map(boxes.map(box => [box.node.dataset.n, box]));
    const edges = [...graph.children].filter(e => e.dataset.s);
    const lanes = edges.flatMap(path => v.points.get(path).slice(3, -3).filter((_, k) => k % 3 === 0).map(p => p[0]));
    const [mx, my] = shift(boxes, lanes);
    for (const { node, is } of boxes) move(node, mx(is[0]), my(is[1]));
    for (const path of edges) {
      const points = v.points.get(path).map(p => [...p]), last = points.length - 1;
      land(points, 0, 1, byNumber.get(path.dataset.s));
      land(points, last, last - 1, byNumber.get(path.dataset.t));
      const [first, ...rest] = points.map(([x, y]) => `${mx(x).toFixed(1)} ${my(y).toFixed(1)}`);
      path.setAttribute('d', `M${first}C${rest.join(' ')}`);
    }
    return [mx(width), my(height)];
  }

  function land(points, end, near, { was, is }) { // an end of an edge, at a node that has shrunk
    if (was[2] === is[2] && was[3] === is[3]) return;
    const [x, y] = points[end], lower = y > was[1] + was[3] / 2;
    const share = was[2] ? (x - was[0]) / was[2] : 0.5;
    points[end] = [is[0] + share * is[2], lower ? is[1] + is[3] : is[1]];
    points[near] = [points[end][0], points[near][1]];
  }

  function arrangeNode(node, v) { // returns its size
    const [w, h] = own(node, 'w h'), rect = node.querySelector(':scope > rect');
    let size = [w, h];
    if (node.dataset.fw) {
      const held = [...node.children].filter(e => e.classList.contains('held'));
      if (node.classList.contains('closed')) size = own(node, 'fw fh');
      else {
        const boxes = held.map(e => {
          const [x, y, hw, hh] = own(e, 'x y w h'), graph = e.querySelector(':scope > .graph');
          const [gw, gh] = own(graph, 'w h'), [iw, ih] = arrangeGraph(graph, v);
          const wide = Math.max(hw - gw + iw, titleWidth(e) + 28);
          move(graph, (wide - iw) / 2, Number(graph.dataset.y));
          const area = e.querySelector(':scope > rect');
          area.setAttribute('width', wide);
          area.setAttribute('height', hh - gh + ih);
          return { e, was: [x, y, hw, hh], is: [x, y, Math.min(wide, hw), hh - gh + ih] };
        });
        const [mx, my] = shift(boxes, []);
        for (const { e, is } of boxes) move(e, mx(is[0]), my(is[1]));
        size = [Math.max(mx(w), Number(node.dataset.fw)), my(h)];
      }
    }
    rect.setAttribute('width', size[0]);
    rect.setAttribute('height', size[1]);
    return size;
  }

  function titleWidth(held) {
    const title = held.querySelector(':scope > text');
    return title && title.textContent ? title.getComputedTextLength() : 0;
  }

  function arrange(v) {
    v.points = v.points || new Map(v.edges.map(({ path, points }) => [path, points]));
    let x = 0, width = 0, height = 0;
    const roots = [...v.svg.querySelectorAll('.graph')].filter(graph => !graph.parentNode.closest('.graph'));
    for (const graph of roots) {
      const [gx, gy, gw] = own(graph, 'x y w'), [w, h] = arrangeGraph(graph, v);
      move(graph, gx + x, gy);
      if (graph.previousElementSibling?.tagName === 'text')
        graph.previousElementSibling.setAttribute('transform', `translate(${x.toFixed(1)} 0)`);
      x += w - gw;
      width = Math.max(width, gx + x + gw);
      height = Math.max(height, gy + h);
    }
    v.width = width + 24;
    v.height = height + 24;
    v.back.setAttribute('width', v.width);
    v.back.setAttribute('height', v.height);
  }

  // Buttons and keys ---------------------------------------------------------------------------------------------

  byId('in').addEventListener('click', () => zoom(1.3));
  byId('out').addEventListener('click', () => zoom(1 / 1.3));
  byId('fit').addEventListener('click', () => fit());
  byId('fold').addEventListener('click', foldAll);
  byId('theme').addEventListener('click', () => {
    const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const is = root.dataset.theme || (dark ? 'dark' : 'light');
    root.dataset.theme = is === 'dark' ? 'light' : 'dark';
  });

  function foldAll() {
    const all = [...view.svg.querySelectorAll('.node[data-fw]')];
    fold(all, all.some(node => !node.classList.contains('closed')));
    fit(LEGIBLE);
  }

  const tabs = [...document.querySelectorAll('[role=tab]')];
  tabs.forEach((tab, k) => {
    tab.addEventListener('click', () => show(tab.dataset.view));
    tab.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const other = tabs[(k + step + tabs.length) % tabs.length];
      show(other.dataset.view);
      other.focus();
    });
  });

  addEventListener('keydown', event => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { '+': () => zoom(1.3), '=': () => zoom(1.3), '-': () => zoom(1 / 1.3), 0: () => fit(), f: foldAll,
      '/': () => { event.preventDefault(); search.focus(); }, Escape: () => { unpin(); hide(); } };
    keys[event.key]?.();
  });
  addEventListener('resize', () => setBox(...view.box));
  show(tabs[0].dataset.view);
})();
