// Of the tabs, only the one that is open answers another model at once; the others when they are opened.
const EVENTS = {
  'tab-predict': 'model_predict', 'tab-saliency': 'model_saliency', 'tab-activations': 'model_activations',
  'tab-filters': 'model_filters', 'tab-confusion': 'model_confusion', 'tab-models': 'model_models',
};
document.addEventListener('fer:model', () => {
  const open = Object.keys(EVENTS).find(id => document.getElementById(id)?.offsetParent);
  if (open) trigger(EVENTS[open]);
});

element.addEventListener('click', async event => {
  const button = event.target.closest('.share');
  if (!button) return;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = 'Link copied';
  } catch {
    window.prompt('Copy this link:', location.href);
  }
  setTimeout(() => { button.textContent = 'Share'; }, 2000);
});
