declare const brand: unique symbol;

/** `T` that only its own module can make: a value of this type is proof that the check behind it was made. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
