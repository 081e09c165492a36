// Keeps the page's own small files, so that it opens without a network; worker.js keeps the models and the runtime.
// It asks no other host for anything. NAME and FILES are written by Python; another version has another name.

const NAME = /* name */ '', FILES = /* files */ [];

self.addEventListener('install', event => {
  const fresh = FILES.map(file => new Request(file, {cache: 'reload'}));
  event.waitUntil(caches.open(NAME).then(cache => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', event => {
  const old = name => name.startsWith('fer-page-') && name !== NAME;
  const discard = caches.keys().then(names => Promise.all(names.filter(old).map(name => caches.delete(name))));
  event.waitUntil(discard.then(() => self.clients.claim()));
});

self.addEventListener('fetch', event => {
  if (event.request.method !== 'GET' || new URL(event.request.url).origin !== location.origin) return;
  const kept = caches.match(event.request, {ignoreSearch: event.request.mode === 'navigate'});
  event.respondWith(kept.then(response => response ?? fetch(event.request)));
});
