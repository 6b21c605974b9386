// Package unwrap finds optional interfaces through decorators.
package unwrap

// As returns a store of interface S as T. The outermost decorator that implements
// T answers, or else the innermost store. As reports false if the innermost store
// does not implement T. A decorator is a store with a method Unwrap that returns
// an S.
func As[T, S any](s S) (T, bool) {
	own, ok := any(s).(T)
	decorator, decorates := any(s).(interface{ Unwrap() S })
	if !decorates {
		return own, ok
	}
	wrapped, has := As[T](decorator.Unwrap())
	if !has || !ok {
		return wrapped, has
	}
	return own, true
}
