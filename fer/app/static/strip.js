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

// A face is kept only where the visitor asks for it: its 48x48 pixels, in this browser tab, gone with it.
const KEPT = 'fer-face', box = () => element.querySelector('.keep');
function showKept() {
  if (!box()) return;
  box().checked = sessionStorage.getItem(KEPT) !== null;
  if (box().checked) sessionStorage.setItem(KEPT, props.picture);
}
element.addEventListener('change', event => {
  if (event.target !== box()) return;
  if (box().checked) sessionStorage.setItem(KEPT, props.picture);
  else sessionStorage.removeItem(KEPT);
});
watch(['picture', 'value'], showKept);
if (sessionStorage.getItem(KEPT)) setTimeout(() => trigger('kept', {picture: sessionStorage.getItem(KEPT)}), 0);
