(names, defaults, values) => {
  const address = new URL(location);
  names.forEach((name, index) => {
    const value = values[index];
    if (value === defaults[index] || value === null || value === '') address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  });
  if (address.href !== location.href) history.replaceState(history.state, '', address);
}
