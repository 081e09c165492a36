// Browsers send a folder's files without their paths, so the folder becomes a zip here: stored, not compressed.
const table = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const checksum = bytes => ~bytes.reduce((sum, byte) => table[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;
const little = (...pairs) => new Uint8Array(pairs.flatMap(([value, size]) =>
  Array.from({length: size}, (_, place) => (value >>> (8 * place)) & 255)));
async function zipped(files) {
  const parts = [], directory = [];
  let offset = 0;
  for (const file of files) {
    const name = new TextEncoder().encode(file.webkitRelativePath || file.name);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const facts = [[20, 2], [2048, 2], [0, 2], [0, 4], [checksum(bytes), 4], [bytes.length, 4], [bytes.length, 4],
      [name.length, 2], [0, 2]];
    parts.push(little([0x04034b50, 4], ...facts), name, bytes);
    directory.push(little([0x02014b50, 4], [20, 2], ...facts, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), name);
    offset += 30 + name.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0), count = directory.length / 2;
  const end = little([0x06054b50, 4], [0, 4], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], {type: 'application/zip'});
}
element.addEventListener('click', event => {
  if (event.target.closest('button')) element.querySelector('input').click();
});
element.addEventListener('change', async event => {
  const files = [...event.target.files].filter(file => !file.name.startsWith('.'));
  if (!files.length) return;
  const status = element.querySelector('[role=status]');
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length > 5000 || size > 16e6) {
    status.textContent = `This folder has ${files.length} files and ${(size / 1e6).toFixed(1)} MB: too many.`;
    return;
  }
  status.textContent = '';
  const name = (files[0].webkitRelativePath || 'folder').split('/')[0] + '.zip';
  const sent = new DataTransfer();
  sent.items.add(new File([await zipped(files)], name, {type: 'application/zip'}));
  const input = document.querySelector('#own-zip').parentElement.querySelector('input[type=file]');
  input.files = sent.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
  event.target.value = '';
});
