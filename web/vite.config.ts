import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// `npm run dev` serves the pages and passes everything else on to a running `headwater serve`.
const backend = process.env.HEADWATER_SERVER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // Everything is an external file of this origin: a strict content security policy needs no exception.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js is one library in one lazy chunk, and so is what shows the API; smaller pieces would only cost round trips.
    chunkSizeWarningLimit: 1600,
  },
  server: { proxy: { '/api': backend, '/uploads': backend, '/v/': backend } },
});
