(address, name) => {
  const link = document.createElement('a');
  [link.href, link.download] = [address, name];
  link.click();
}
