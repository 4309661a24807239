import { defineConfig } from "vite";

export default defineConfig({
  base: "./", // every address is relative: the node may serve the files below any path
  publicDir: false,
  // vtk.js reaches Node's own module `events` through its XML reader; the browser needs the package of that name.
  resolve: { alias: { events: "events/events.js" } },
  worker: { format: "es" },
  build: {
    target: "es2022",
    modulePreload: false,
    chunkSizeWarningLimit: 8000,
    rollupOptions: {
      input: "entry.js",
      preserveEntrySignatures: "strict",
      output: {
        entryFileNames: "cornerstone.js",
        chunkFileNames: "chunks/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
});
