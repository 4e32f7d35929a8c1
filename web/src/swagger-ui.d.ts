declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  /** Shows a description below `domNode`. */
  export default function SwaggerUI(options: {
    url: string;
    domNode: HTMLElement;
    deepLinking?: boolean;
    docExpansion?: 'list' | 'full' | 'none';
    validatorUrl?: string | null;
  }): unknown;
}
