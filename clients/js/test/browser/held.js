/** The worker of the package. Once its masking has said how far it is, it waits until it is interrupted. */
import '/clients/js/dist/worker.js';

const { subtle } = globalThis.crypto;
const encrypt = subtle.encrypt.bind(subtle);
const post = globalThis.postMessage.bind(globalThis);
let mayGoOn = Promise.resolve();

globalThis.postMessage = (message) => {
  if (message.progress) {
    mayGoOn = new Promise((goOn) => {
      globalThis.addEventListener('message', ({ data }) => data.call === 'interrupt' && goOn());
    });
    globalThis.postMessage = post;
  }
  post(message);
};
subtle.encrypt = async (...given) => {
  await mayGoOn;
  return encrypt(...given);
};
