//go:build !unix

package main

func addressesLimited() bool { return false }
