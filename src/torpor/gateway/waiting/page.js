(() => {
  const me = document.currentScript.dataset, root = document.documentElement, KEY = "torpor";
  const part = name => document.querySelector(`[data-torpor=${name}]`);
  const say = (name, text) => { const it = part(name); if (it && it.textContent !== text) it.textContent = text };
  let from = performance.now() - me.elapsed * 1000, eta = +me.eta, until = 0, limit = 0, done = false;
  const usual = part("eta")?.textContent;
  let source, poll, wait = 500, cursor = 0, begun = 0;

  const arrive = () => {  // at once, unless the app was ready a moment ago and we are back here all the same
    const go = () => { try { sessionStorage[KEY] = Date.now() } catch {} location.reload() };
    let last;
    try { last = sessionStorage[KEY] } catch {}
    Date.now() - last < 2000 ? setTimeout(go, 1000) : go();
  };
  const span = s => s < 100 ? `${Math.floor(s)} s` : `${Math.floor(s / 60)} m ${Math.floor(s % 60)} s`;
  const tick = () => {
    const now = performance.now(), age = (now - from) / 1000, state = root.dataset.state;
    if (until && now > until && state != "backoff" && !document.hidden) { until = 0; return location.reload() }
    const left = Math.max(1, Math.ceil((until - now - 250) / 1000));  // the rest is for clocks that differ
    say("elapsed", until ? `Trying again in ${span(left)}` : done || state == "backoff" ? "" : span(age));
    say("limit", until || done || limit < now ? "" : `at most ${span((limit - now) / 1000)} more`);
    say("eta", until || done || !eta ? "" : age > eta * 1.5 + 1 ? "longer than usual" : usual);
    const x = age / eta, p = done ? 0 : x < .8 ? x : 1 - .2 * Math.exp(4 - 5 * x);
    root.style.setProperty("--p", eta ? p : 1 - Math.exp(-age / 8));
  };
  const show = s => {
    wait = 500;
    root.dataset.state = s.state;
    say("reason", s.reason);
    say("logs", s.logs.join("\n"));
    eta = s.eta || 0;
    if (s.elapsed != null) from = performance.now() - s.elapsed * 1000;
    limit = s.gives_up_in == null ? 0 : performance.now() + s.gives_up_in * 1000;
    until = s.retry != null && s.state != "ready" ? performance.now() + s.retry * 1000 + 250 : 0;
    if (done = s.final) stop();
    if (s.state == "ready") arrive();
    tick();
  };
  const trim = () => { const list = part("steps"); while (list?.children[cursor]) list.lastChild.remove() };
  const step = (seq, s) => {
    const list = part("steps");
    if (!list) return;
    if (!cursor) begun = s.timestamp;
    const here = list.children[cursor];
    if (here && here.dataset.seq == seq) return cursor++;
    trim();
    const item = document.createElement("li");
    item.dataset.seq = seq;
    item.className = s.level;
    item.textContent = s.data.message;
    item.append(document.createElement("time"));
    item.lastChild.textContent = `${Math.max(0, s.timestamp - begun).toFixed(1)} s`;
    list.append(item);
    cursor++;
  };
  const stop = () => { source && source.close(); source = 0; clearTimeout(poll) };
  const heard = r => r.ok ? r.json().then(show) : wait > 4000 && location.reload();  // somebody else answers there
  const ask = () => fetch(me.status, { cache: "no-store" }).then(heard).catch(() => {})
    .finally(() => { if (!done) poll = setTimeout(begin, wait = Math.min(wait * 2, 10000)) });
  const begin = () => {  // a tab in the background asks now and then: a browser has few connections per site
    stop();
    if (document.hidden || !window.EventSource) return ask();
    source = new EventSource(me.events);
    source.addEventListener("begin", () => cursor = 0);
    source.onmessage = e => step(e.lastEventId, JSON.parse(e.data));
    source.addEventListener("state", e => { trim(); show(JSON.parse(e.data)) });
    source.onerror = () => { stop(); ask() };
  };
  document.addEventListener("visibilitychange", () => done || begin());
  part("again")?.addEventListener("click", e => { e.preventDefault(); location.reload() });  // keeps the #hash
  setInterval(tick, 100);
  if (me.final) { done = true; until = me.retry ? performance.now() + me.retry * 1000 + 250 : 0; tick() } else begin();
})();
