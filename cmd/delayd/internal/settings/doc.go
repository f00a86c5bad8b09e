// Package settings reads the configuration file, and knows where each setting
// comes from.
//
// A setting is a flag of the command line. It can also be a variable of the
// environment, which kong reads by itself, and a key of a file in YAML, which is
// what this package adds. A flag counts before a variable, and a variable before
// the file. There is no setting that only the file has.
//
// At the top of the file are settings for every command that knows them. Below the
// name of a command are those for it alone, and they count before:
//
//	brokers: [kafka-1:9093, kafka-2:9093]
//	serve:
//	  purge-after: 1h
//	admin:
//	  provision:
//	    partitions: 12
package settings
