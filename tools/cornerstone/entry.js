// What the reading room uses of Cornerstone3D, as one module.
export * as core from "@cornerstonejs/core";
export * as tools from "@cornerstonejs/tools";
export { default as dicomImageLoader, wadors } from "@cornerstonejs/dicom-image-loader";
