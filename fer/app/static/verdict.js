element.addEventListener('click', event => {
  if (event.target.closest('.explain')) trigger('explain');
});
