// Keeps the status page up to date. The server answers each request for /events when its state has changed, with the new content of
// the page, and EventSource asks again by itself. Without this script the page is loaded again every 15 seconds.
'use strict';
const main = document.querySelector('main');
let last = Date.now();
new EventSource('/events').addEventListener('content', (event) => {
  last = Date.now();
  // Which databases are open is the reader's choice.
  const open = new Map([...main.querySelectorAll('details')].map((one) => [one.id, one.open]));
  main.innerHTML = event.data;
  for (const one of main.querySelectorAll('details')) {
    if (open.has(one.id)) one.open = open.get(one.id);
  }
});
const show = () => {
  const one = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (one instanceof HTMLDetailsElement) one.open = true;
};
addEventListener('hashchange', show);
show();
setInterval(() => document.body.classList.toggle('old', Date.now() - last > 20000), 1000);
