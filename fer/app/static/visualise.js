element.addEventListener('click', event => {
  if (event.target.closest('.visualise')) trigger('jump', {});
});
